//! One try to fetch a plain file over HTTP.
//!
//! ```text
//! part? ─▶ ask (Range + If-Range) ─▶ redirects, by hand ─▶ 206 and still the same: append
//!                                                       └▶ 200, another version, 416: from the beginning
//! body ─▶ right type? ─▶ bytes to the part, under the cap, the rate and the time ─▶ as many as announced?
//! ```
//! Every redirect is a new connection and passes the guard like the first; from https none leads back to http. A body
//! is taken as it is, never decompressed.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use ureq::http::header::LOCATION;
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body, Error, Timeout};
use url::Url;

use super::Progress;
use super::answer::{self, Kind, content_range, header, kind_of, not_video_by_type};
use super::guard::Refused;
use super::part::{Journal, Part};
use super::pause::{Stopped, sleep};
use super::speed::SpeedFloor;
use crate::dataset::trouble::{Class, Setback, Trouble};

const MOST_REDIRECTS: usize = 5;
/// Read at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// Enough to know what kind of file it is.
const HEAD_BYTES: usize = 512;

/// What one try needs.
pub struct Session<'a> {
    /// What speaks HTTP.
    pub agent: &'a Agent,
    /// Whether the run is stopping.
    pub stopped: &'a Stopped,
    /// Seconds without a byte that end the try; for what is said only.
    pub stall: Duration,
    /// Time for the whole download; for what is said only.
    pub total: Duration,
    /// Its rest, for this try.
    pub left: Duration,
    /// Least bytes per second.
    pub min_speed: u64,
    /// Most bytes of the file.
    pub cap: Cap,
    /// Most bytes per second.
    pub rate_limit: Option<u64>,
    /// Take only what says that it is a video, or is one by its first bytes.
    pub only_video: bool,
}

/// The most bytes a file may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// How many.
    pub bytes: u64,
    /// Whether the user chose it; else it follows from the free space.
    pub is_chosen: bool,
}

impl Cap {
    /// The trouble of a file that has more.
    pub fn trouble(self, total_bytes: Option<u64>) -> Trouble {
        let size = total_bytes.map_or("the file".to_owned(), |total| format!("{total} bytes"));
        let Self { bytes, is_chosen } = self;
        if is_chosen {
            let message = format!(
                "{size} is more than {bytes} bytes, which is max_file_size or what max_disk leaves for one video"
            );
            return Trouble::new(Class::TooLarge, message);
        }
        let message = format!(
            "{size} is more than {bytes} bytes, half of the free space; make room or set max_file_size"
        );
        Trouble::new(Class::TooLarge, message)
    }
}

/// Fetches the file into the part of a folder; on success the part is complete and gives its kind's extension, where
/// that is known.
///
/// # Errors
/// Trouble with the video; the part is left for another try. The run is stopping.
pub fn fetch(
    session: &Session,
    url: &Url,
    folder: &Path,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Option<&'static str>, Setback> {
    let mut part = Part::open(folder, url.as_str()).map_err(|error| on_disk(&error))?;
    if !part.is_complete() {
        let received = receive(session, url, &mut part, on_progress);
        // What came is worth keeping, whatever happened.
        let synced = part.sync().map_err(|error| on_disk(&error));
        received?;
        synced?;
    }
    let head = part.head(HEAD_BYTES).map_err(|error| on_disk(&error))?;
    Ok(match kind_of(&head) {
        Kind::Video(extension) => Some(extension),
        _ => None,
    })
}

/// Asks, and takes what comes.
fn receive(
    session: &Session,
    url: &Url,
    part: &mut Part,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<(), Setback> {
    // Twice, because the rest of another version is of no use and has to be asked for from the beginning.
    for _ in 0..2 {
        let (answer, url) = session.ask(url, part)?;
        let begun = part.len;
        match answer.status().as_u16() {
            206 if begun > 0 && is_the_rest(&answer, part) => {}
            206 | 416 if begun > 0 => {
                let journal = Journal {
                    url: part.journal.url.clone(),
                    ..Journal::default()
                };
                part.restart(journal).map_err(|error| on_disk(&error))?;
                continue;
            }
            200 => {
                let journal = journal_of(&part.journal.url, &answer);
                part.restart(journal).map_err(|error| on_disk(&error))?;
            }
            status => {
                return Err(answer::trouble_of_status(status, answer.headers(), &url).into());
            }
        }
        return session.take(answer, part, on_progress);
    }
    let message = "the server answers every request for a part with another part";
    Err(Trouble::new(Class::Network, message).into())
}

fn journal_of(url: &str, answer: &Response<Body>) -> Journal {
    let headers = answer.headers();
    let etag = header(headers, "etag").filter(|etag| etag.starts_with('"'));
    Journal {
        url: url.to_owned(),
        etag: etag.map(str::to_owned),
        last_modified: header(headers, "last-modified").map(str::to_owned),
        total_bytes: answer.body().content_length(),
        synced_bytes: 0,
    }
}

/// Whether an answer with status 206 continues the part: from its end, of a file of the same version and size.
fn is_the_rest(answer: &Response<Body>, part: &Part) -> bool {
    let headers = answer.headers();
    let same = |name: &str, known: &Option<String>| match (header(headers, name), known) {
        (Some(now), Some(known)) => now == known,
        _ => true,
    };
    content_range(headers).is_some_and(|(first, total)| {
        first == part.len && (total.is_none() || total == part.journal.total_bytes)
    }) && same("etag", &part.journal.etag)
        && same("last-modified", &part.journal.last_modified)
}

impl Session<'_> {
    /// Sends the request and follows redirects; gives the last answer and whose it is.
    fn ask(&self, url: &Url, part: &Part) -> Result<(Response<Body>, Url), Setback> {
        let mut url = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self.agent.get(url.as_str());
            if let (1.., Some(version)) = (part.len, part.journal.version()) {
                request = request
                    .header("Range", format!("bytes={}-", part.len))
                    .header("If-Range", version);
            }
            let answer = request.call().map_err(|error| self.failed(&error))?;
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok((answer, url));
            }
            url = redirect(&url, answer.headers())?;
        }
        let message = format!("more than {MOST_REDIRECTS} redirects");
        Err(Trouble::new(Class::Permanent, message).into())
    }

    /// Takes the body into the part.
    fn take(
        &self,
        answer: Response<Body>,
        part: &mut Part,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Setback> {
        let begun = part.len;
        let body = answer.body().content_length();
        let total = part.journal.total_bytes.or(body.map(|rest| begun + rest));
        part.journal.total_bytes = total;
        if total.is_some_and(|total| total > self.cap.bytes) {
            return Err(self.cap.trouble(total).into());
        }
        let packing = header(answer.headers(), "content-encoding");
        if let Some(packing) = packing.filter(|packing| !packing.eq_ignore_ascii_case("identity")) {
            let message = format!("the server sends it compressed with {packing}, unasked");
            return Err(Trouble::new(Class::BadInput, message).into());
        }
        let content_type = header(answer.headers(), "content-type").map(str::to_owned);
        let mut reader = answer.into_body().into_reader();
        let mut chunk = vec![0; CHUNK_BYTES];
        let begin = Instant::now();
        let mut floor = SpeedFloor::new(self.min_speed, self.rate_limit, self.stall);
        floor.restart(begun);
        if begun == 0 {
            let head = self.head(&mut reader, &mut chunk)?;
            self.check_kind(&chunk[..head], content_type.as_deref())?;
            part.append(&chunk[..head])
                .map_err(|error| on_disk(&error))?;
        }
        loop {
            on_progress(Progress {
                bytes: part.len,
                total,
            });
            if part.len > self.cap.bytes {
                return Err(self.cap.trouble(None).into());
            }
            if begin.elapsed() > self.left {
                return Err(self.took_too_long().into());
            }
            floor.check(part.len)?;
            if let Some(rate) = self.rate_limit {
                let secs = (part.len - begun) as f64 / rate.max(1) as f64;
                let due = Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX);
                sleep(due.saturating_sub(begin.elapsed()), self.stopped)?;
            }
            let n = self.read(&mut reader, &mut chunk, part.len, total)?;
            if n == 0 {
                break;
            }
            part.append(&chunk[..n]).map_err(|error| on_disk(&error))?;
        }
        if total.is_some_and(|total| total != part.len) {
            return Err(ended_early(part.len, total).into());
        }
        if part.len == 0 {
            let message = "the server sent nothing";
            return Err(Trouble::new(Class::Truncated, message).into());
        }
        Ok(())
    }

    /// Reads the first bytes, enough to know the kind of file, or all there are.
    fn head(&self, reader: &mut impl io::Read, chunk: &mut [u8]) -> Result<usize, Setback> {
        let mut len = 0;
        while len < HEAD_BYTES {
            match self.read(reader, &mut chunk[len..], len as u64, None) {
                Ok(0) => break,
                Ok(n) => len += n,
                // Even a body that was cut tells by what came whether it is a web page; the rest is asked for again.
                Err(Setback::Video(_)) if len >= 16 => break,
                Err(setback) => return Err(setback),
            }
        }
        Ok(len)
    }

    fn check_kind(&self, head: &[u8], content_type: Option<&str>) -> Result<(), Setback> {
        let kind = kind_of(head);
        let by_type = not_video_by_type(content_type);
        let is_called_video = content_type.is_some_and(|name| name.starts_with("video/"));
        let wrong = match kind {
            Kind::Video(_) => return Ok(()),
            Kind::Other(what) => Some(by_type.unwrap_or_else(|| what.to_owned())),
            Kind::Unknown if by_type.is_some() => by_type,
            Kind::Unknown if self.only_video && !is_called_video => Some("something else".into()),
            Kind::Unknown => None,
        };
        match wrong {
            Some(what) if !head.is_empty() => {
                let message = format!("the server sent {what}, not a video");
                Err(Trouble::new(Class::BadInput, message).into())
            }
            _ => Ok(()),
        }
    }

    fn read(
        &self,
        reader: &mut impl io::Read,
        chunk: &mut [u8],
        there: u64,
        total: Option<u64>,
    ) -> Result<usize, Setback> {
        let error = match reader.read(chunk) {
            Ok(n) => return Ok(n),
            Err(error) => error,
        };
        if (self.stopped)() {
            return Err(Setback::Stopped);
        }
        if let Some(error) = error
            .get_ref()
            .and_then(|cause| cause.downcast_ref::<Error>())
        {
            return Err(self.failed(error));
        }
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Err(ended_early(there, total).into());
        }
        Err(Trouble::new(Class::Network, format!("the connection broke: {error}")).into())
    }

    /// What an error of the connection means.
    fn failed(&self, error: &Error) -> Setback {
        if (self.stopped)() {
            return Setback::Stopped;
        }
        let (class, message) = match error {
            Error::Other(cause) => match cause.downcast_ref::<Refused>() {
                Some(refused @ Refused::Private { .. }) => (Class::Permanent, refused.to_string()),
                _ => (Class::Network, cause.to_string()),
            },
            Error::Timeout(Timeout::PerRead) => {
                let message = format!("no byte came for {} s", self.stall.as_secs_f64());
                (Class::Network, message)
            }
            Error::Timeout(Timeout::Resolve | Timeout::Connect) => (
                Class::Network,
                "no connection came about in time".to_owned(),
            ),
            Error::Timeout(Timeout::RecvResponse) => (
                Class::Network,
                "the server did not come to the end of its headers".to_owned(),
            ),
            Error::Timeout(_) => return self.took_too_long().into(),
            Error::BadUri(_) => (Class::Permanent, error.to_string()),
            error => (Class::Network, format!("no connection: {error}")),
        };
        Trouble::new(class, message).into()
    }

    fn took_too_long(&self) -> Trouble {
        let message = format!("not done within {} s", self.total.as_secs_f64());
        Trouble::new(Class::Network, message)
    }
}

fn redirect(from: &Url, headers: &HeaderMap) -> Result<Url, Trouble> {
    let refused = |message: String| Trouble::new(Class::Permanent, message);
    let to = headers.get(LOCATION).and_then(|to| to.to_str().ok());
    let to = to.ok_or_else(|| refused("a redirect that does not say where to".into()))?;
    let url = from
        .join(to)
        .map_err(|_| refused(format!("a redirect to what is no address: {to}")))?;
    match (from.scheme(), url.scheme()) {
        ("https", "http") => Err(refused(format!("a redirect from https to http: {url}"))),
        (_, "http" | "https") => Ok(url),
        (_, other) => Err(refused(format!(
            "a redirect to {other}:, which is not fetched"
        ))),
    }
}

fn ended_early(there: u64, total: Option<u64>) -> Trouble {
    let of = total.map_or(String::new(), |total| format!(" of {total}"));
    let message = format!("the connection ended after {there}{of} bytes");
    Trouble::new(Class::Network, message)
}

/// Trouble with our own disk: the machine has to be helped, whatever the video is.
pub fn on_disk(error: &io::Error) -> Trouble {
    Trouble::with_disk(error, "cannot write the download")
}
