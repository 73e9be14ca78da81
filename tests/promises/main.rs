//! The promises to the user, one module each: the real program, a real broker, a pseudo-terminal as the dongle.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may be blunt"
)]

mod support;

mod a_bad_disk_stops_nothing;
mod a_broker_may_refuse_a_subscription;
mod a_broker_may_want_tls_and_a_password;
mod a_missing_dongle_costs_nothing_and_a_present_one_has_one_owner;
mod a_restart_forgets_nothing;
mod a_set_message_is_answered_entry_by_entry;
mod a_wrong_key_publishes_nothing_and_the_right_one_heals;
mod broker_away_and_back;
mod chaos_loses_nothing;
mod doubtful_set_entries_are_told;
mod driver_daemon_and_gateway_survive_each_other;
mod explanations_have_colours_on_a_terminal;
mod failing_actors_are_restarted;
mod file_source_loses_nothing;
mod home_assistant_finds_the_meters;
mod it_does_not_grow;
mod keys_never_leave_the_gateway;
mod meters_are_listed;
mod mistakes_are_named;
mod nobody_is_fooled_by_a_recording;
mod one_json_object_for_each_telegram;
mod pictures_of_the_page;
mod profiles_change_while_it_runs;
mod random_faults_stop_nothing;
mod readings_reach_the_broker;
mod setup_makes_settings_that_work;
mod sighup_applies_what_can_change;
mod sigterm_drains_and_exits_zero;
mod stop_ends_the_gateway;
mod syslog_has_level_actor_meter_and_reason;
mod the_bridge_serves_home_automation;
mod the_broker_lets_each_do_his_part;
mod the_clock_may_be_wrong;
mod the_demo_shows_every_message;
mod the_page_shows_the_gateway;
mod the_readme_tells_the_truth;
mod the_script_starts_and_stops_the_system;
mod the_serial_line_may_do_anything;
mod the_service_unit_is_sound;
mod the_status_is_documented;
mod the_watchdog_ends_what_hangs_and_nothing_else;
