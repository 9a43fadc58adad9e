"""The orchestration service: deciding, recording, replaying."""
