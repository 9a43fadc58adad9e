"""The signer: the one process that holds the checkpoint key. It signs what it has derived itself from stored leaves, and never two histories.

What is signed is decided by pure functions (`rules`, `derivation`, `last_signed`); `signer` joins them to the database (`store`) and to the
file that outlives it (`volume`).
"""
