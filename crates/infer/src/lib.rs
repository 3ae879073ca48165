//! Upscaling networks and the engines that run them.
