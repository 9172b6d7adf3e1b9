"""What the product does: one use case a file, with what only it needs beside it."""
