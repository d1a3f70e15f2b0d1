from tests.unit.controller.conftest import cluster

__all__ = ["cluster"]
