//! Looks into a replica: files and the event log, through the same reads as the services.
