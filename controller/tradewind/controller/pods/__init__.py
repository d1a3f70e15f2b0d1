"""Task instances as Pods.

manifest.py         the Pod of a try
strategic_merge.py  podTemplate merged into it
tries.py            creates and ends the Pods of tries
render_process.py   templates that take long, in a process of their own
quotas.py           namespaces whose quota is full
ends.py             ends Pods and keeps their logs
pod_gc.py           Pods whose run is not scheduled any more
retention.py        podRetention
pools.py            the used slots of Pools, as their status
"""
