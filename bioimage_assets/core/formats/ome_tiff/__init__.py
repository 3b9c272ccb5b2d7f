"""OME-TIFF and plain TIFF: image file directories and OME-XML, read into image records and chunk rows."""
