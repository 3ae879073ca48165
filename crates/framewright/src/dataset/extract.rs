//! From a file to pictures and their measures, in a process of its own that is fenced in.
