"""The outside world: AWS, HTTP and cryptography behind the ports of `mooring.core.ports`."""
