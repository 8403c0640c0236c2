mod certificates;
mod fake_api;
mod secrets;
