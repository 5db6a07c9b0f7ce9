"""What tests share: made inputs, stand-ins, readers of what the harness writes."""
