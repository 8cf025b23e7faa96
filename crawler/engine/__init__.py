"""The hand: the only room that knows all five stages. It holds no rules of its own."""
