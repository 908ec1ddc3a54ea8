"""Pure functions on tensors and arrays; nothing here knows a model, a data set or a file."""
