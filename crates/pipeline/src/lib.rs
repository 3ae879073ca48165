//! Stages on named threads joined by bounded queues.
