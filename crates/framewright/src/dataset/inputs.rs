//! From the lines of the inputs to the list of videos: files, folders, patterns, addresses, playlists.
