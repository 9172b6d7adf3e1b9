"""What the product does: one file and one public function each."""
