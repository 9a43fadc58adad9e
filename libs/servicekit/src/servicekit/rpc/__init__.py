"""Calls between sibling services over NATS, with the stubs and servicers that protoc generates."""
