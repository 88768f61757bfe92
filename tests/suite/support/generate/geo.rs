//! Places in sorted sets.

use super::{Row, row};

pub const ROWS: &[Row] = &[
    row("GEOADD", 20, "geo ~([NX|XX] [CH]) {lon lat member}+"),
    row("GEODIST", 6, "geo member member [M|KM|FT|MI]"),
    row("GEOHASH", 4, "geo {member}*"),
    row("GEOPOS", 4, "geo {member}*"),
    row("GEORADIUS", 5, "geo lon lat distance <M|KM|FT|MI> ~([WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC])"),
    row("GEORADIUS", 3, "geo lon lat distance <M|KM|FT|MI> ~([COUNT count] [ASC|DESC] [STORE geo|STOREDIST geo])"),
    row(
        "GEORADIUS_RO",
        4,
        "geo lon lat distance <M|KM|FT|MI> ~([WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC])",
    ),
    row(
        "GEORADIUSBYMEMBER",
        5,
        "geo member distance <M|KM|FT|MI> ~([WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC])",
    ),
    row("GEORADIUSBYMEMBER", 3, "geo member distance <M|KM|FT|MI> ~([COUNT count] [ASC|DESC] [STORE geo|STOREDIST geo])"),
    row(
        "GEORADIUSBYMEMBER_RO",
        4,
        "geo member distance <M|KM|FT|MI> ~([WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC])",
    ),
    row(
        "GEOSEARCH",
        14,
        "geo ~(<FROMMEMBER member|FROMLONLAT lon lat> <BYRADIUS distance <M|KM|FT|MI>|BYBOX distance distance <M|KM|FT|MI>> [ASC|DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH])",
    ),
    row(
        "GEOSEARCHSTORE",
        8,
        "geo geo ~(<FROMMEMBER member|FROMLONLAT lon lat> <BYRADIUS distance <M|KM|FT|MI>|BYBOX distance distance <M|KM|FT|MI>> [ASC|DESC] [COUNT count] [STOREDIST])",
    ),
    row("GEOSEARCHSTORE", 1, "geo geo FROMLONLAT lon lat BYRADIUS distance KM ~([ASC|DESC] [STOREDIST]) COUNT count ANY")
        .unsettling(),
    row("ZRANGE", 3, "geo 0 -1 WITHSCORES"),
    row("ZREM", 2, "geo {member}+"),
    row("DEL", 1, "geo"),
];
