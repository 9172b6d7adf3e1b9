"""In-memory fakes of every port in `mooring.core.ports`. Each passes the same battery as its adapter."""
