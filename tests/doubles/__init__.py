"""Test doubles: what stands in for hardware, brokers, time and models."""
