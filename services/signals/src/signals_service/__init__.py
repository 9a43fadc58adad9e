"""The signals service: what the customer is struggling with or up to."""
