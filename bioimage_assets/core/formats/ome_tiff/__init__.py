"""OME-TIFF and plain TIFF: bytes of image file directories and OME-XML become image records and chunk rows."""
