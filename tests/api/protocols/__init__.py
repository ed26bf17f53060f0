"""The protocols of other servers, on both fronts."""
