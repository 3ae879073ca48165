//! Writing the decided dataset in the formats that trainers read.
