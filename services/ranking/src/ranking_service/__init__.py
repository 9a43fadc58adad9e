"""The ranking service: orders what eligibility let through, and learns."""
