//! Positions as 52-bit interleaved integers, the scores GEOADD gives its members, and what GEOSEARCH needs of them.
//!
//! Longitude and latitude are each cut into 2^26 steps of their range and their bits interleaved, latitude in the even
//! bits: a shared prefix is a shared cell. A search takes the cell around its centre at the coarsest useful step, its
//! eight neighbours, and turns those that can matter into score ranges.
//!
//! Clients compare the digits, so every expression keeps the reference's order of operations; do not simplify them.

use std::f64::consts::PI;

pub const LONGITUDE_MIN: f64 = -180.0;
pub const LONGITUDE_MAX: f64 = 180.0;
/// The latitude where a square Mercator map ends (EPSG:3857).
pub const LATITUDE_MIN: f64 = -85.05112878;
pub const LATITUDE_MAX: f64 = 85.05112878;
/// The steps of a score: 26 bits per axis.
pub const STEP_MAX: u8 = 26;

/// The quadratic mean radius of the Earth (WGS-84).
const EARTH_RADIUS_M: f64 = 6_372_797.560856;
/// Half the equator in the Mercator projection.
const MERCATOR_MAX_M: f64 = 20_037_726.37;
const RADIANS_PER_DEGREE: f64 = PI / 180.0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// Degrees east.
    pub longitude: f64,
    /// Degrees north.
    pub latitude: f64,
}

impl Position {
    /// `None` outside of what can be encoded, NaN included.
    pub fn new(longitude: f64, latitude: f64) -> Option<Position> {
        ((LONGITUDE_MIN..=LONGITUDE_MAX).contains(&longitude) && (LATITUDE_MIN..=LATITUDE_MAX).contains(&latitude))
            .then_some(Position { longitude, latitude })
    }

    /// The centre of the smallest cell a score names.
    pub fn from_score(score: f64) -> Position {
        let area = Cell { bits: score_bits(score), step: STEP_MAX }.area();
        Position {
            longitude: ((area.longitude.0 + area.longitude.1) / 2.0).clamp(LONGITUDE_MIN, LONGITUDE_MAX),
            latitude: ((area.latitude.0 + area.latitude.1) / 2.0).clamp(LATITUDE_MIN, LATITUDE_MAX),
        }
    }

    /// The member's score, exact in a double.
    pub fn score(self) -> f64 {
        encode(self, STEP_MAX, (LATITUDE_MIN, LATITUDE_MAX)) as f64
    }

    /// The standard geohash text. It starts from latitudes −90..90, unlike the scores, and the last of its 55 bits'
    /// characters is always `0`, as there are only 52.
    pub fn geohash(self) -> [u8; 11] {
        let bits = encode(self, STEP_MAX, (-90.0, 90.0));
        let mut text = [b'0'; 11];
        for (index, byte) in text.iter_mut().take(10).enumerate() {
            *byte = ALPHABET[(bits >> (52 - (index + 1) * 5) & 0x1f) as usize];
        }
        text
    }

    /// The great-circle distance in metres, by the haversine formula.
    pub fn distance(self, other: Position) -> f64 {
        let (lon1, lon2) = (radians(self.longitude), radians(other.longitude));
        let v = ((lon2 - lon1) / 2.0).sin();
        if v == 0.0 {
            return latitude_distance(self.latitude, other.latitude);
        }
        let (lat1, lat2) = (radians(self.latitude), radians(other.latitude));
        let u = ((lat2 - lat1) / 2.0).sin();
        let a = u * u + lat1.cos() * lat2.cos() * v * v;
        2.0 * EARTH_RADIUS_M * a.sqrt().asin()
    }
}

/// The form of a search area, in the units of the search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

/// A search area.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    pub centre: Position,
    pub form: Form,
    /// Metres per unit of the form: 1, 1000, 0.3048 or 1609.34.
    pub metres_per_unit: f64,
}

impl Shape {
    /// The distance in metres from the centre to a position inside the shape, `None` outside of it.
    pub fn distance_within(&self, position: Position) -> Option<f64> {
        let unit = self.metres_per_unit;
        match self.form {
            Form::Circle { radius } => {
                let distance = self.centre.distance(position);
                // Written so that a NaN counts as inside, as a comparison with "greater" has it.
                (!matches!(distance.partial_cmp(&(radius * unit)), Some(std::cmp::Ordering::Greater))).then_some(distance)
            }
            Form::Box { width, height } => {
                if latitude_distance(position.latitude, self.centre.latitude) > height * unit / 2.0 {
                    return None;
                }
                // Along the position's own parallel.
                let beside = Position { longitude: self.centre.longitude, latitude: position.latitude };
                if position.distance(beside) > width * unit / 2.0 {
                    return None;
                }
                Some(self.centre.distance(position))
            }
        }
    }

    /// The score ranges that together hold every member of the shape, half-open, in the order to search them: without
    /// sorting, that is the order of the reply. Two ranges may be equal when the cells are as large as the world.
    pub fn score_ranges(&self) -> Vec<(u64, u64)> {
        let Some(covering) = self.covering() else { return Vec::new() };
        let mut ranges = Vec::with_capacity(covering.len());
        let mut previous: Option<Cell> = None;
        for (index, cell) in covering.into_iter().enumerate() {
            let Some(cell) = cell else { continue };
            // A repeated cell is passed over, unless what it repeats is the centre cell.
            if previous == Some(cell) {
                continue;
            }
            let shift = 52 - u32::from(cell.step) * 2;
            ranges.push((cell.bits << shift, (cell.bits + 1) << shift));
            previous = (index > 0).then_some(cell);
        }
        ranges
    }

    /// The centre's cell and its neighbours in search order: N, S, E, W, NE, NW, SE, SW; `None` where it is no use.
    fn covering(&self) -> Option<[Option<Cell>; 9]> {
        let Position { longitude, latitude } = Position::new(self.centre.longitude, self.centre.latitude)?;
        let bounds = self.bounding_box();
        let radius_m = self.metres_per_unit
            * match self.form {
                Form::Circle { radius } => radius,
                Form::Box { width, height } => ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt(),
            };
        let at_step = |step| Cell { bits: encode(Position { longitude, latitude }, step, (LATITUDE_MIN, LATITUDE_MAX)), step };
        let mut centre = at_step(estimate_step(radius_m, latitude));
        // Near the edge of its cell a centre can be farther than one cell from the end of the area.
        let too_small = centre.moved(0, 1).area().latitude.1 < bounds.latitude.1
            || centre.moved(0, -1).area().latitude.0 > bounds.latitude.0
            || centre.moved(1, 0).area().longitude.1 < bounds.longitude.1
            || centre.moved(-1, 0).area().longitude.0 > bounds.longitude.0;
        if centre.step > 1 && too_small {
            centre = at_step(centre.step - 1);
        }

        // With a single step the neighbours wrap around the world, and none can be left out.
        let area = centre.area();
        let prune = centre.step >= 2;
        let no_south = prune && area.latitude.0 < bounds.latitude.0;
        let no_north = prune && area.latitude.1 > bounds.latitude.1;
        let no_west = prune && area.longitude.0 < bounds.longitude.0;
        let no_east = prune && area.longitude.1 > bounds.longitude.1;
        let cell = |x: i8, y: i8| {
            let useless = (y < 0 && no_south) || (y > 0 && no_north) || (x < 0 && no_west) || (x > 0 && no_east);
            (!useless).then(|| centre.moved(x, y))
        };
        Some([Some(centre), cell(0, 1), cell(0, -1), cell(1, 0), cell(-1, 0), cell(1, 1), cell(-1, 1), cell(1, -1), cell(-1, -1)])
    }

    /// The degrees the shape spans. Its sides are taken on the parallel nearer to the pole, where a degree is shortest.
    fn bounding_box(&self) -> Area {
        let (half_width, half_height) = match self.form {
            Form::Circle { radius } => (self.metres_per_unit * radius, self.metres_per_unit * radius),
            Form::Box { width, height } => (self.metres_per_unit * (width / 2.0), self.metres_per_unit * (height / 2.0)),
        };
        let Position { longitude, latitude } = self.centre;
        let latitude_delta = degrees(half_height / EARTH_RADIUS_M);
        let parallel = if latitude < 0.0 { latitude - latitude_delta } else { latitude + latitude_delta };
        let longitude_delta = degrees(half_width / EARTH_RADIUS_M / radians(parallel).cos());
        Area {
            longitude: (longitude - longitude_delta, longitude + longitude_delta),
            latitude: (latitude - latitude_delta, latitude + latitude_delta),
        }
    }
}

const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// One cell of the grid with 2^step rows and columns.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cell {
    bits: u64,
    step: u8,
}

/// Bounds in degrees, (min, max).
struct Area {
    longitude: (f64, f64),
    latitude: (f64, f64),
}

impl Cell {
    fn area(self) -> Area {
        let (row, column) = (compact(self.bits), compact(self.bits >> 1));
        let steps = (1u64 << self.step) as f64;
        let bounds = |index: u32, (min, max): (f64, f64)| {
            let scale = max - min;
            (min + f64::from(index) / steps * scale, min + f64::from(index.wrapping_add(1)) / steps * scale)
        };
        Area { longitude: bounds(column, (LONGITUDE_MIN, LONGITUDE_MAX)), latitude: bounds(row, (LATITUDE_MIN, LATITUDE_MAX)) }
    }

    /// The cell so many columns east and rows north, around the world if need be.
    fn moved(self, east: i8, north: i8) -> Cell {
        let mask = (1u32 << self.step) - 1;
        let shift = |index: u32, by: i8| index.wrapping_add_signed(i32::from(by)) & mask;
        let (row, column) = (compact(self.bits), compact(self.bits >> 1));
        // An axis that stays put keeps bits above the grid: a longitude of exactly 180 has one.
        let row = if north == 0 { row } else { shift(row, north) };
        let column = if east == 0 { column } else { shift(column, east) };
        Cell { bits: spread(row) | spread(column) << 1, step: self.step }
    }
}

fn encode(position: Position, step: u8, (latitude_min, latitude_max): (f64, f64)) -> u64 {
    let latitude = (position.latitude - latitude_min) / (latitude_max - latitude_min);
    let longitude = (position.longitude - LONGITUDE_MIN) / (LONGITUDE_MAX - LONGITUDE_MIN);
    let steps = (1u64 << step) as f64;
    spread((latitude * steps) as u32) | spread((longitude * steps) as u32) << 1
}

/// The step whose cells are at least as large as the radius, so that nine of them cover the circle.
fn estimate_step(radius_m: f64, latitude: f64) -> u8 {
    if radius_m == 0.0 {
        return STEP_MAX;
    }
    let (mut range, mut step) = (radius_m, 1i32);
    // Further doublings could not change the clamped result; the bound also ends a negative range.
    while range < MERCATOR_MAX_M && step < 64 {
        range *= 2.0;
        step += 1;
    }
    step -= 2;
    // A degree of longitude shrinks towards the poles.
    if !(-66.0..=66.0).contains(&latitude) {
        step -= 1;
        if !(-80.0..=80.0).contains(&latitude) {
            step -= 1;
        }
    }
    step.clamp(1, i32::from(STEP_MAX)) as u8
}

fn latitude_distance(a: f64, b: f64) -> f64 {
    EARTH_RADIUS_M * (radians(b) - radians(a)).abs()
}

fn radians(degrees: f64) -> f64 {
    degrees * RADIANS_PER_DEGREE
}

fn degrees(radians: f64) -> f64 {
    radians / RADIANS_PER_DEGREE
}

/// A score need not come from GEOADD: below zero it wraps, and what does not fit is zero, as the conversion of the usual
/// compilers has it.
fn score_bits(score: f64) -> u64 {
    const TOP: f64 = (1u64 << 63) as f64;
    match score {
        ..TOP => score as i64 as u64,
        _ if score < 2.0 * TOP => ((score - TOP) as u64) ^ (1 << 63),
        _ => 0,
    }
}

/// Moves bit n of the index to bit 2n.
fn spread(index: u32) -> u64 {
    let mut bits = u64::from(index);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// The inverse of [`spread`]; odd bits are ignored.
fn compact(bits: u64) -> u32 {
    let mut bits = bits & 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Rng;

    #[test]
    fn documented_places() {
        let palermo = Position::new(13.361389, 38.115556).unwrap();
        let catania = Position::new(15.087269, 37.502669).unwrap();
        assert_eq!(palermo.score(), 3479099956230698.0);
        assert_eq!(catania.score(), 3479447370796909.0);
        let (palermo, catania) = (Position::from_score(palermo.score()), Position::from_score(catania.score()));
        assert_eq!(&palermo.geohash(), b"sqc8b49rny0");
        assert_eq!(&catania.geohash(), b"sqdtr74hyu0");
        assert_eq!(format!("{:.4}", palermo.distance(catania)), "166274.1516");
        assert_eq!(palermo.longitude, 13.361389338970184);
        assert_eq!(palermo.latitude, 38.1155563954963);
        assert_eq!(palermo.distance(palermo), 0.0);
    }

    #[test]
    fn bounds_are_checked() {
        assert!(Position::new(180.0, 85.05112878).is_some());
        assert!(Position::new(180.1, 0.0).is_none());
        assert!(Position::new(0.0, -85.06).is_none());
        assert!(Position::new(f64::NAN, 0.0).is_none());
    }

    #[test]
    fn spread_and_compact_are_inverse() {
        let mut rng = Rng::seeded(3);
        let mut random = || rng.unit();
        for _ in 0..2_000 {
            let (x, y) = ((random() * 4e9) as u32, (random() * 4e9) as u32);
            let bits = spread(x) | spread(y) << 1;
            assert_eq!((compact(bits), compact(bits >> 1)), (x, y));
        }
    }

    #[test]
    fn round_trips_within_a_cell() {
        let mut rng = Rng::seeded(5);
        let mut random = || rng.unit();
        for _ in 0..5_000 {
            let position = Position::new(random() * 360.0 - 180.0, random() * 170.0 - 85.0).unwrap();
            let back = Position::from_score(position.score());
            assert!((back.longitude - position.longitude).abs() <= 360.0 / (1u64 << 26) as f64);
            assert!((back.latitude - position.latitude).abs() <= 171.0 / (1u64 << 26) as f64);
        }
    }

    /// Every point of a shape away from the date line lies in one of its ranges. The pole is left out: there the
    /// reference's own estimate can miss points.
    #[test]
    fn ranges_cover_the_shape() {
        let mut rng = Rng::seeded(9);
        let mut random = || rng.unit();
        for _ in 0..1_500 {
            let centre = Position::new(random() * 200.0 - 100.0, random() * 120.0 - 60.0).unwrap();
            let size = 10f64.powf(random() * 6.0);
            let form = if random() < 0.5 {
                Form::Circle { radius: size }
            } else {
                Form::Box { width: size * 2.0, height: size * (0.1 + random()) }
            };
            let shape = Shape { centre, form, metres_per_unit: 1.0 };
            let ranges = shape.score_ranges();
            assert!(ranges.len() <= 9 && !ranges.is_empty());
            for _ in 0..20 {
                let reach = size / 50_000.0;
                let (x, y) = (random() - 0.5, random() - 0.5);
                let Some(position) = Position::new(centre.longitude + x * reach, centre.latitude + y * reach) else {
                    continue;
                };
                let score = position.score();
                if shape.distance_within(Position::from_score(score)).is_some() {
                    let bits = score as u64;
                    assert!(ranges.iter().any(|&(min, max)| min <= bits && bits < max), "{shape:?} {position:?}");
                }
            }
        }
    }

    /// Scores of 2^64 and more were another corner of the world than in the original.
    #[test]
    fn scores_that_are_no_cells_convert_as_in_the_original() {
        let top = (1u64 << 63) as f64;
        for (score, bits) in [(f64::INFINITY, 0), (1e300, 0), (2.0 * top, 0), (top, 1 << 63), (-1.0, u64::MAX), (-1e300, 1 << 63)]
        {
            assert_eq!(score_bits(score), bits, "{score}");
        }
        assert_eq!(score_bits((u64::MAX << 11) as f64), u64::MAX << 11);
    }

    #[test]
    fn odd_numbers_do_no_harm() {
        let odd = [f64::NAN, f64::INFINITY, -f64::INFINITY, -1.0, 1e300, 5e-324, 0.0, 180.0, -180.0, 85.05112878];
        for a in odd {
            let position = Position::from_score(a);
            let _ = position.geohash();
            for b in odd {
                for longitude in odd {
                    for form in [Form::Circle { radius: a }, Form::Box { width: a, height: b }] {
                        let centre = Position { longitude, latitude: b };
                        let shape = Shape { centre, form, metres_per_unit: 1000.0 };
                        let _ = (shape.score_ranges(), shape.distance_within(position));
                    }
                }
            }
        }
    }
}
