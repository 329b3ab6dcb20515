"""Networks: plain modules, tensors in and tensors out; none knows a loss."""
