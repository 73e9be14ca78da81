//! The program. Everything is in the library beside it, where the tests reach it.

use omnigate::cli::Cli;
use omnigate::exit::Exit;

fn main() -> Exit {
    Cli::of_process().execute()
}
