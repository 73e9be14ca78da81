//! The profiles in the crate: a list that a test compares with the folder.

macro_rules! files {
    ($($path:literal,)*) => {
        /// Each file's path under `profiles`, and its text.
        pub(super) const FILES: &[(&str, &str)] = &[
            $( ($path, include_str!(concat!("../../profiles/", $path))), )*
        ];
    };
}

files! {
    "kam/omnipower.toml",
}
