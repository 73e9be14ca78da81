//! What a record measures or tells.

use core::fmt;

macro_rules! quantities {
    ($( $(#[$doc:meta])* $name:ident = $text:literal; )*) => {
        /// What a record measures or tells: the meaning of its VIF, whatever the unit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Quantity {
            $( $(#[$doc])* $name, )*
            /// A VIF that the standard reserves: the table's code, if it is not the primary table, then the VIF's.
            Reserved(u16),
        }

        impl Quantity {
            /// Its name in `snake_case`; the same for all reserved codes.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$name => $text, )*
                    Self::Reserved(_) => "reserved",
                }
            }
        }
    };
}

quantities! {
    /// Energy.
    Energy = "energy";
    /// Reactive energy.
    ReactiveEnergy = "reactive_energy";
    /// Apparent energy.
    ApparentEnergy = "apparent_energy";
    /// Volume.
    Volume = "volume";
    /// Mass.
    Mass = "mass";
    /// How long the meter has had power.
    OnTime = "on_time";
    /// How long the meter has measured.
    OperatingTime = "operating_time";
    /// Power.
    Power = "power";
    /// The maxima of the power, added up.
    CumulativeMaximumPower = "cumulative_maximum_power";
    /// Reactive power.
    ReactivePower = "reactive_power";
    /// Apparent power.
    ApparentPower = "apparent_power";
    /// Volume flow.
    VolumeFlow = "volume_flow";
    /// Mass flow.
    MassFlow = "mass_flow";
    /// Temperature of the flow.
    FlowTemperature = "flow_temperature";
    /// Temperature of the return.
    ReturnTemperature = "return_temperature";
    /// Flow less return temperature.
    TemperatureDifference = "temperature_difference";
    /// Temperature outside of the meter.
    ExternalTemperature = "external_temperature";
    /// The temperature that divides warm from cold.
    TemperatureLimit = "temperature_limit";
    /// Pressure.
    Pressure = "pressure";
    /// Relative humidity.
    RelativeHumidity = "relative_humidity";
    /// Moisture, as of a wall.
    Moisture = "moisture";
    /// Heat delivered by a heat pump for each unit of electric energy.
    CoefficientOfPerformance = "coefficient_of_performance";
    /// Voltage.
    Voltage = "voltage";
    /// Electric current.
    Current = "current";
    /// Frequency.
    Frequency = "frequency";
    /// Phase angle between voltages.
    PhaseAngleVoltages = "phase_angle_voltages";
    /// Phase angle from voltage to current.
    PhaseAngleCurrent = "phase_angle_current";
    /// Units of a heat cost allocator.
    HeatCostAllocation = "heat_cost_allocation";
    /// Heat cost allocator: resulting rating factor K.
    RatingFactor = "rating_factor";
    /// Heat cost allocator: rating factor of the thermal output, Kq.
    RatingFactorOutput = "rating_factor_output";
    /// Heat cost allocator: rating factor of the thermal coupling, Kc.
    RatingFactorCoupling = "rating_factor_coupling";
    /// Heat cost allocator: rating factor of the coupling on the room's side, Kcr.
    RatingFactorRoom = "rating_factor_room";
    /// Heat cost allocator: rating factor of the coupling on the heater's side, Kch.
    RatingFactorHeater = "rating_factor_heater";
    /// Heat cost allocator: rating factor of low temperatures, Kt.
    RatingFactorLowTemperature = "rating_factor_low_temperature";
    /// Heat cost allocator: scaling factor of the display, KD.
    RatingFactorDisplay = "rating_factor_display";
    /// A date.
    Date = "date";
    /// A date and time.
    DateTime = "date_time";
    /// How long values were averaged.
    AveragingDuration = "averaging_duration";
    /// How old the values are.
    ActualityDuration = "actuality_duration";
    /// The number on the meter's plate.
    FabricationNumber = "fabrication_number";
    /// A longer identification.
    EnhancedIdentification = "enhanced_identification";
    /// The meter's primary address on a wired bus.
    BusAddress = "bus_address";
    /// What is measured is told by the unit, a text.
    PlainText = "value";
    /// Any VIF, in requests only.
    Any = "any";
    /// Only the manufacturer knows; the codes are among the qualifiers.
    Manufacturer = "manufacturer";
    /// The bytes behind DIF 0F or 1F, whose structure only the manufacturer knows.
    ManufacturerData = "manufacturer_data";
    /// Bytes behind the last record that are none themselves.
    Rest = "rest";
    /// The state of an alarm, as the manufacturer codes it.
    Alarm = "alarm";

    /// Credit in local currency.
    Credit = "credit";
    /// Debit in local currency.
    Debit = "debit";
    /// Counts the telegrams.
    MessageNumber = "message_number";
    /// The device's type, as in an address.
    DeviceType = "device_type";
    /// The manufacturer, as in an address.
    ManufacturerIdentification = "manufacturer_identification";
    /// Identifies a set of parameters.
    ParameterSet = "parameter_set";
    /// Model or version.
    ModelVersion = "model_version";
    /// Version of the hardware.
    HardwareVersion = "hardware_version";
    /// Version of the metrology's firmware.
    FirmwareVersion = "firmware_version";
    /// Version of other software.
    SoftwareVersion = "software_version";
    /// The customer's location.
    CustomerLocation = "customer_location";
    /// The customer.
    Customer = "customer";
    /// Access code of the user.
    AccessCodeUser = "access_code_user";
    /// Access code of the operator.
    AccessCodeOperator = "access_code_operator";
    /// Access code of the system operator.
    AccessCodeSystemOperator = "access_code_system_operator";
    /// Access code of the developer.
    AccessCodeDeveloper = "access_code_developer";
    /// A password.
    Password = "password";
    /// Bits that are set by errors; their meaning is the manufacturer's.
    ErrorFlags = "error_flags";
    /// Which error bits are used.
    ErrorMask = "error_mask";
    /// A key.
    SecurityKey = "security_key";
    /// Bits of digital outputs.
    DigitalOutput = "digital_output";
    /// Bits of digital inputs.
    DigitalInput = "digital_input";
    /// Speed of the bus, in baud.
    BaudRate = "baud_rate";
    /// Delay before an answer, in bit times.
    ResponseDelay = "response_delay";
    /// How often to try again.
    Retry = "retry";
    /// Bits of a remote control, as of a valve.
    RemoteControl = "remote_control";
    /// First storage number of a cyclic storage.
    FirstStorageNumber = "first_storage_number";
    /// Last storage number of a cyclic storage.
    LastStorageNumber = "last_storage_number";
    /// How many storage numbers belong together.
    StorageBlockSize = "storage_block_size";
    /// Describes tariff and subunit.
    TariffDescriptor = "tariff_descriptor";
    /// Time between stored values.
    StorageInterval = "storage_interval";
    /// Data of the operator.
    OperatorData = "operator_data";
    /// The second of a time.
    TimePointSecond = "time_point_second";
    /// Time since the last readout.
    DurationSinceReadout = "duration_since_readout";
    /// When a tariff starts.
    TariffStart = "tariff_start";
    /// How long a tariff lasts.
    TariffDuration = "tariff_duration";
    /// How often a tariff comes.
    TariffPeriod = "tariff_period";
    /// A number without a dimension.
    Dimensionless = "dimensionless";
    /// A wireless M-Bus telegram inside a record.
    WirelessContainer = "wireless_container";
    /// How often the meter transmits.
    TransmissionPeriod = "transmission_period";
    /// How often the meter was reset.
    ResetCounter = "reset_counter";
    /// How often values were cumulated.
    CumulationCounter = "cumulation_counter";
    /// A control signal.
    ControlSignal = "control_signal";
    /// Day of the week.
    DayOfWeek = "day_of_week";
    /// Number of the week.
    WeekNumber = "week_number";
    /// When the day changes.
    DayChange = "day_change";
    /// State of the activation of parameters.
    ParameterActivation = "parameter_activation";
    /// Information of the supplier.
    SupplierInformation = "supplier_information";
    /// Time since the last cumulation.
    DurationSinceCumulation = "duration_since_cumulation";
    /// How long the battery has worked.
    BatteryOperatingTime = "battery_operating_time";
    /// When the battery was changed.
    BatteryChange = "battery_change";
    /// Strength of a radio signal.
    RadioLevel = "radio_level";
    /// Begin and end of daylight saving time.
    DaylightSaving = "daylight_saving";
    /// When the meter listens.
    ListeningWindow = "listening_window";
    /// How long the battery will last.
    RemainingBatteryLife = "remaining_battery_life";
    /// How often the meter was stopped.
    StopCounter = "stop_counter";
    /// The manufacturer's data in a record.
    ManufacturerContainer = "manufacturer_container";
    /// The application that is selected.
    SelectedApplication = "selected_application";

    /// Energy of a period, not a reading; only in manufacturers' own formats.
    PeriodEnergy = "period_energy";
    /// Volume of a period, not a reading; only in manufacturers' own formats.
    PeriodVolume = "period_volume";
    /// Units of a heat cost allocator in a period, not a reading; only in manufacturers' own formats.
    PeriodHeatCostAllocation = "period_heat_cost_allocation";
    /// Units of a heat cost allocator in all periods together; only in manufacturers' own formats.
    TotalHeatCostAllocation = "total_heat_cost_allocation";
}

impl fmt::Display for Quantity {
    /// The name; reserved codes with their number, as in `reserved_fd77`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved(code) => write!(f, "reserved_{code:02x}"),
            quantity => f.pad(quantity.name()),
        }
    }
}
