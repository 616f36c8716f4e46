"""Image-text matching models that several systems lean on."""
