//! Fetching a video: local files, plain HTTP, and everything else by yt-dlp.
