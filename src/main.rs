//! The program: arguments in, an exit code out. The only file that ends the process.

#![expect(clippy::disallowed_methods, reason = "this is the one place that may end the process")]

fn main() {
    match antiphon::cli::Cli::read().run() {
        Ok(()) => {}
        Err(e) => {
            eprintln!("antiphon: {e:#}");
            std::process::exit(1);
        }
    }
}
