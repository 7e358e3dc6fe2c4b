"""ndots:2 for all new pods, by Kyverno's admission webhook; for those who run it."""

from k8sdiag.checks._dns_search_remedy import NDOTS

KEEP = "dns-ndots"  # label of a namespace, or of a pod: "keep" leaves it as it is

# Pods alone (autogen-controllers: none): templates stay what their owners wrote, so no tool that
# compares them sees a change. `+(dnsConfig)` adds what is not there: a pod with a dnsConfig of its
# own keeps it, since its options are one list that would be replaced.
KYVERNO = f"""\
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata:
  name: dns-ndots
  annotations:
    pod-policies.kyverno.io/autogen-controllers: none
spec:
  background: false
  rules:
    - name: ndots-{NDOTS}
      match:
        any:
          - resources:
              kinds: [Pod]
              operations: [CREATE]
      exclude:
        any:
          - resources:
              namespaceSelector:
                matchLabels: {{{KEEP}: keep}}
          - resources:
              selector:
                matchLabels: {{{KEEP}: keep}}
      preconditions:
        all:
          # musl resolves SERVICE.NAMESPACE.svc only by the search list, which ndots:2 switches off.
          - key: "{{{{ request.object.spec.containers[?contains(image, 'alpine')] | length(@) }}}}"
            operator: Equals
            value: 0
          - key: "{{{{ request.object.spec.dnsPolicy || 'ClusterFirst' }}}}"
            operator: Equals
            value: ClusterFirst
          # On the host's network ClusterFirst means the node's own resolv.conf.
          - key: "{{{{ request.object.spec.hostNetwork || `false` }}}}"
            operator: Equals
            value: false
      mutate:
        patchStrategicMerge:
          spec:
            +(dnsConfig):
              options:
                - name: ndots
                  value: "{NDOTS}"
"""
