//! What yt-dlp's words mean. It has one exit code for everything that is wrong with a video; only the text tells.
//!
//! The texts are those of yt-dlp 2026.10.26 and of its issue tracker. They are looked for in this order: a text that says
//! "too many requests" may also say "unavailable", and the former is what helps.

use crate::dataset::trouble::{Class, Trouble};

/// Last lines that are kept.
const MOST_DETAILS: usize = 20;
const MOST_MESSAGE_CHARS: usize = 300;

/// Texts in lowercase, and the class of an error that holds one.
const TEXTS: &[(&[&str], Class)] = &[
    (
        &[
            "no space left on device",
            "disk quota exceeded",
            "read-only file system",
            "unable to open for writing",
            "no supported javascript runtime",
            "no such option",
            "unable to load cookies",
            "does not look like a netscape format cookies file",
        ],
        Class::Environment,
    ),
    (
        &[
            "http error 429",
            "too many requests",
            "content isn't available, try again later",
            "session has been rate-limited",
            "rate limit",
            "rate-limit",
        ],
        Class::Rate,
    ),
    (
        &[
            "not a bot",
            "sign in to confirm",
            "http error 401",
            "login required",
            "requires login",
            "only available for registered users",
            "requires authentication",
            "cookies are no longer valid",
            "use --cookies",
            "--username and --password",
            "inappropriate for some users",
            "age-restricted",
            "age restricted",
        ],
        Class::Auth,
    ),
    (
        &[
            "http error 416",
            "requested range not satisfiable",
            "did not get any data blocks",
            "downloaded file is empty",
            "unable to continue",
            "skipping fragment",
            "fragment not found",
            "conflicting range",
        ],
        Class::Truncated,
    ),
    (
        // The address of the media has run out; a new one comes with another try.
        &[
            "unable to download video data: http error 403",
            "http error 408",
            "http error 5",
            "timed out",
            "timeout",
            "connection reset",
            "tunnel connection failed",
            "unable to connect to proxy",
            "connection refused",
            "connection aborted",
            "remote end closed",
            "incompleteread",
            "incomplete read",
            "more expected",
            "name resolution",
            "failed to resolve",
            "getaddrinfo",
            "name or service not known",
            "network is unreachable",
            "no route to host",
            "certificate",
            "ssl:",
            "eof occurred",
            "broken pipe",
            "transporterror",
            "giving up after",
            "content too short",
        ],
        Class::Network,
    ),
    (
        &[
            "larger than max-filesize",
            "file is larger than",
            "file too large",
        ],
        Class::TooLarge,
    ),
];

/// What yt-dlp ended with, by its standard error.
pub fn trouble_of(stderr: &str, version: &str) -> Trouble {
    let said = error_of(stderr);
    let lower = stderr_errors(stderr)
        .to_lowercase()
        .replace('\u{2019}', "'");
    let by_text = TEXTS
        .iter()
        .find(|(texts, _)| texts.iter().any(|text| lower.contains(text)));
    let lacks_runtime = lower.contains("requested format is not available")
        && (stderr.contains("JavaScript runtime") || stderr.contains("n challenge solving failed"));
    let mut trouble = if lacks_runtime {
        let message =
            "yt-dlp cannot solve the site's challenge without a JavaScript runtime; install deno";
        Trouble::new(Class::Environment, message)
    } else {
        // What is not known here is taken for final: a video is not worth asking for ever.
        let class = by_text.map_or(Class::Permanent, |(_, class)| *class);
        Trouble::new(class, said)
    };
    trouble.details = last_lines(stderr, version);
    trouble
}

/// The version and the last lines of what yt-dlp said.
pub fn last_lines(stderr: &str, version: &str) -> Vec<String> {
    let lines: Vec<&str> = stderr
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.contains(super::yt_dlp::NO_FFMPEG))
        .collect();
    let last = &lines[lines.len().saturating_sub(MOST_DETAILS - 1)..];
    let version = format!("yt-dlp {version}");
    std::iter::once(version)
        .chain(last.iter().map(|&line| line.to_owned()))
        .collect()
}

/// The lines of errors; all lines when there are none.
fn stderr_errors(stderr: &str) -> String {
    let errors: Vec<&str> = stderr
        .lines()
        .filter(|line| line.contains("ERROR"))
        .collect();
    if errors.is_empty() {
        return stderr.to_owned();
    }
    errors.join("\n")
}

/// yt-dlp's last error in one line.
fn error_of(stderr: &str) -> String {
    let lines = || {
        stderr
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    let error = lines()
        .rfind(|line| line.starts_with("ERROR:"))
        .or_else(|| lines().next_back())
        .unwrap_or("it says nothing");
    let error = error.trim_start_matches("ERROR:").trim();
    // The request to report a bug is no cause.
    let error = error
        .split("; please report this issue")
        .next()
        .unwrap_or(error);
    let error = error
        .split("  Confirm you are on the latest")
        .next()
        .unwrap_or(error);
    let short: String = error.chars().take(MOST_MESSAGE_CHARS).collect();
    format!("yt-dlp: {}", short.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(error: &str) -> Class {
        trouble_of(&format!("WARNING: a\nERROR: {error}\n"), "1").class
    }

    #[test]
    fn the_words_of_yt_dlp_have_their_classes() {
        for (class_of, errors) in [
            (
                Class::Auth,
                &[
                    "[youtube] x: Sign in to confirm you\u{2019}re not a bot. Use --cookies-from-browser or --cookies",
                    "[youtube] x: Sign in to confirm your age. This video may be inappropriate for some users.",
                    "[vimeo] 1: The web client only works when logged-in. Use --cookies, --username and --password",
                    "[x] 1: Unable to download webpage: HTTP Error 401: Unauthorized",
                ][..],
            ),
            (
                Class::Rate,
                &[
                    "[generic] 429: Unable to download webpage: HTTP Error 429: Too Many Requests (caused by <HTTPError 429>)",
                    "[youtube] x: Video unavailable. This content isn\u{2019}t available, try again later. The current session \
                     has been rate-limited by YouTube for up to an hour.",
                ],
            ),
            (
                Class::Permanent,
                &[
                    "[youtube] x: Private video. Sign in if you've been granted access to this video",
                    "[youtube] x: Video unavailable. This video has been removed by the uploader",
                    "[youtube] x: Join this channel to get access to members-only content",
                    "[youtube] x: The uploader has not made this video available in your country",
                    "[x] 1: This video is DRM protected",
                    "[generic] a: Unable to download webpage: HTTP Error 404: Not Found",
                    "[generic] a: Unable to download webpage: HTTP Error 410: Gone",
                    "[generic] a: Unable to download webpage: HTTP Error 403: Forbidden",
                    "Unsupported URL: http://127.0.0.1/html",
                    "[x] 1: Requested format is not available. Use --list-formats for a list of available formats",
                    "[x] 1: Premieres in 3 hours",
                    // It is given none on purpose: media is read behind the fence only.
                    "Stream #0 cannot be downloaded: ffmpeg not found. Please install or provide the path",
                    "words that nobody has seen",
                ],
            ),
            (
                Class::Network,
                &[
                    "[generic] a: Unable to download webpage: HTTP Error 503: Service Unavailable",
                    "unable to download video data: HTTP Error 403: Forbidden",
                    "[download] Got error: ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))",
                    "Unable to download webpage: <urlopen error [Errno -3] Temporary failure in name resolution>",
                    "[download] Got error: The read operation timed out. Giving up after 5 retries",
                    "[download] Got error: 1024 bytes read, 4096 more expected. Giving up after 5 retries",
                ],
            ),
            (
                Class::Truncated,
                &[
                    "Did not get any data blocks",
                    "fragment 3 not found, unable to continue",
                    "unable to download video data: HTTP Error 416: Requested range not satisfiable",
                ],
            ),
            (
                Class::Environment,
                &[
                    "unable to write data: [Errno 28] No space left on device",
                    "no such option: --js-runtimes",
                ],
            ),
        ] {
            for error in errors {
                assert_eq!(class(error), class_of, "{error}");
            }
        }
    }

    #[test]
    fn a_missing_javascript_runtime_is_trouble_with_the_machine() {
        let error = "WARNING: [youtube] No supported JavaScript runtime could be found.\n\
                     ERROR: [youtube] x: Requested format is not available. Use --list-formats\n";
        assert_eq!(trouble_of(error, "1").class, Class::Environment);
    }

    #[test]
    fn the_last_lines_are_kept_and_the_error_is_the_message() {
        let mut stderr = "WARNING: a\n".repeat(30);
        stderr += "ERROR: [x] 1: Unable to extract y; please report this issue on  https://github.com/yt-dlp\n";
        let trouble = trouble_of(&stderr, "2026.10.26");
        assert_eq!(trouble.message, "yt-dlp: [x] 1: Unable to extract y");
        assert_eq!(trouble.details.len(), 20);
        assert_eq!(trouble.details[0], "yt-dlp 2026.10.26");
        assert!(trouble.details[19].starts_with("ERROR:"));
    }
}
