"""The floor: seven processes that make the hops of a decision with empty handlers, on the same kit and with the same messages."""
