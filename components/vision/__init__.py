"""Images and boxes: decoding, drawing, geometry."""
