"""What this package calls itself."""

VERSION = "0.1.0"  # tests hold it equal to pyproject.toml: asking the metadata costs 40 ms a start
DOCS = "docs"  # where the pages are: in the repository, and inside the package
USER_AGENT = f"k8sdiag/{VERSION} (read-only diagnostics)"
