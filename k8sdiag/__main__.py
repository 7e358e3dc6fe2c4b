"""python -m k8sdiag"""

from k8sdiag.cli import main

main()
