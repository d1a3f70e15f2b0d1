"""`tradewind run`: the engine of the controller, with local processes in the place of Pods."""
