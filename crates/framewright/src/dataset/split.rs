//! Dividing the pictures so that what is alike stays together.
