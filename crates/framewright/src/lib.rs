//! The program: its jobs and its command line.
