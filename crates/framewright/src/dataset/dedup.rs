//! Which frames are near duplicates of an earlier one.
