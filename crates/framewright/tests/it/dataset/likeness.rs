//! Planted duplicates are found, and nothing else is.

use std::collections::BTreeMap;

use super::collection::{Edit, Film, collection};
use super::run_list;
use super::table::{Row, is_kept, rows};
use crate::env::TestEnv;

const EDITS: [Edit; 7] = [
    Edit::Reencoded,
    Edit::Scaled,
    Edit::Brighter,
    Edit::Logo,
    Edit::Subtitle,
    Edit::BlackLeader,
    Edit::Cropped,
];

/// The film that a row or a picture's name belongs to.
fn film_of<'a>(films: &'a [Film], row: &Row) -> &'a Film {
    let of = |film: &&Film| film.path.display().to_string() == row["source"];
    films.iter().find(of).unwrap()
}

#[test]
fn copies_are_found_whatever_was_done_to_them_and_no_scene_is_taken_for_another() {
    let env = TestEnv::new();
    let Some(films) = collection(&env, 4.0, &EDITS) else {
        return;
    };
    let paths: Vec<_> = films.iter().map(|film| film.path.clone()).collect();
    run_list(&env, &paths, "set", &["--every", "0.5s"]).expect_code(0);
    let rows = rows(&env.path("set"));
    let by_id: BTreeMap<&str, &Row> = rows
        .iter()
        .map(|row| (row["image_id"].as_str(), row))
        .collect();

    let mut found: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for row in &rows {
        let film = film_of(&films, row);
        let is_leader =
            film.edit == Edit::BlackLeader && row["pts_secs"].parse::<f64>().unwrap() < 0.95;
        if is_leader {
            assert_eq!(row["drop_reason"], "featureless", "{row:?}");
            continue;
        }
        if let Some(original) = row.get("duplicate_of") {
            let other = film_of(&films, by_id[original.as_str()]);
            assert_eq!(
                film.family, other.family,
                "{row:?} is no copy of {original}"
            );
            assert!(
                is_kept(by_id[original.as_str()]) || film.edit != Edit::Original,
                "{row:?}"
            );
        }
        let (seen, dropped) = found.entry(format!("{:?}", film.edit)).or_default();
        *seen += 1;
        *dropped += u32::from(!is_kept(row));
    }
    println!("found of all: {found:?}");
    for edit in EDITS.iter().filter(|edit| **edit != Edit::Cropped) {
        let (seen, dropped) = found[&format!("{edit:?}")];
        assert!(seen >= 45, "{edit:?}: {seen} frames were looked at");
        assert!(
            f64::from(dropped) >= 0.98 * f64::from(seen),
            "{edit:?}: {dropped} of {seen} found"
        );
    }
}

#[test]
fn no_picture_of_one_part_is_nearly_the_same_as_one_of_another() {
    let env = TestEnv::new();
    let Some(films) = collection(&env, 4.0, &EDITS) else {
        return;
    };
    let paths: Vec<_> = films.iter().map(|film| film.path.clone()).collect();
    run_list(&env, &paths, "set", &["--every", "0.5s"]).expect_code(0);
    let rows = rows(&env.path("set"));
    let kept: Vec<&Row> = rows.iter().filter(|row| is_kept(row)).collect();
    let bits = |row: &Row, name: &str| row[name].parse::<framewright_hash::Hash256>().unwrap();
    for (n, one) in kept.iter().enumerate() {
        for other in kept[..n]
            .iter()
            .filter(|other| other["split"] != one["split"])
        {
            let dct = bits(one, "dct").distance(&bits(other, "dct"));
            let dhash = bits(one, "dhash").distance(&bits(other, "dhash"));
            assert!(
                dct > 48 && dhash > 32,
                "{} and {}: {dct}, {dhash}",
                one["image_id"],
                other["image_id"]
            );
        }
    }
    // Nor are two copies of one film in two parts.
    let mut part_of: BTreeMap<&str, &str> = BTreeMap::new();
    for row in kept {
        let family = film_of(&films, row).family;
        let part = part_of.entry(family).or_insert(&row["split"]);
        if film_of(&films, row).edit != Edit::Cropped {
            assert_eq!(*part, row["split"], "{family} lies in one part");
        }
    }
}
