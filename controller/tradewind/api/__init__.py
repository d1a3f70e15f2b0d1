"""The tradewind.dev/v1alpha1 API: models, defaults, validation and the CRDs generated from them.

The only place that says what a Dag, DagRun, Pool or Backfill may look like. The CRDs, the admission webhook, the
controller and the CLI all use these models, so a bad Dag gets the same message everywhere. Nothing here
performs I/O or looks at the clock.
"""

GROUP = "tradewind.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
