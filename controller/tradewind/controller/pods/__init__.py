"""Task instances as Pods.

manifest.py         the Pod of a try
strategic_merge.py  podTemplate merged into it
tries.py            creates and stops the Pods of tries
render_process.py   renders slow templates in a process of their own
quotas.py           namespaces whose quota is used up
ends.py             stops Pods and keeps their logs
pod_gc.py           cleans up Pods whose run is not scheduled any more
retention.py        podRetention
pools.py            the used slots of Pools, in their status
"""
