//! Vectors of pictures and texts: CLIP and its kin, and any network that makes a vector of a picture.
