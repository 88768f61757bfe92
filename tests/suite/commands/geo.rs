//! Places in sorted sets.

use redstart::testkit::check;

#[test]
fn places_are_added_as_scores() {
    check(
        r#"
        > GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        2
        ~ ZADD Sicily 3479099956230698 Palermo 3479447370796909 Catania
        ! zadd Sicily
        > ZSCORE Sicily Palermo
        "3479099956230698"
        > GEOADD Sicily 13.361389 38.115556 Palermo
        0
        ~
        !
        > GEOADD Sicily CH 13 38 Palermo
        1
        ~ ZADD Sicily CH 3479065152021743 Palermo
        > GEOADD Sicily NX 13.361389 38.115556 Palermo
        0
        ~
        > GEOADD Sicily XX CH 13.361389 38.115556 Palermo 1 1 elsewhere
        1
        > ZCARD Sicily
        2
        > GEOADD none XX 1 1 a
        0
        > EXISTS none
        0
        > GEOADD k 200 10 m
        -ERR invalid longitude,latitude pair 200.000000,10.000000
        > GEOADD k 1 1 a 0 86 m
        -ERR invalid longitude,latitude pair 0.000000,86.000000
        > GEOADD k abc 1 m
        -ERR value is not a valid float
        > GEOADD k 1 2
        -ERR wrong number of arguments for 'geoadd' command
        > GEOADD k NX XX 1 1 m
        -ERR syntax error
        > GEOADD k FOO 1 1 m
        -ERR syntax error
        > GEOADD k 1 1 m 2 2
        -ERR syntax error
        > GEOADD k CH CH CH
        -ERR syntax error
        > EXISTS k
        0
        > SET s v
        > GEOADD s 1 1 a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn places_are_told() {
    check(
        r#"
        > GEOADD k 13.361389 38.115556 a 15.087269 37.502669 b
        > GEOPOS k a none
        [["13.361389338970184", "38.1155563954963"], nil]
        > GEOPOS none a
        [nil]
        > GEOPOS k
        []
        > GEOHASH k a none b
        ["sqc8b49rny0", nil, "sqdtr74hyu0"]
        > GEOHASH none a
        [nil]
        > GEODIST k a b
        "166274.1516"
        > GEODIST k a b KM
        "166.2742"
        > GEODIST k a b mi
        "103.3182"
        > GEODIST k a b ft
        "545518.8700"
        > GEODIST k a a
        "0.0000"
        > GEODIST k a none
        nil
        > GEODIST none a b
        nil
        > GEODIST k a b FOO
        -ERR unsupported unit provided. please use M, KM, FT, MI
        > GEODIST k a b m x
        -ERR syntax error
        > GEODIST k a
        -ERR wrong number of arguments for 'geodist' command
        > SET s v
        > GEODIST s a b
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > GEOPOS s a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > GEOHASH s a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        # resp3
        > GEOPOS k a none
        [[,13.361389338970184, ,38.1155563954963], nil]
        > GEODIST k a b
        "166274.1516"
        > GEODIST k a none
        nil
        "#,
    );
}

#[test]
fn places_at_the_same_distance_come_in_the_order_of_redis() {
    check(
        r#"
        > ZADD k 9 centre 0 a 1 b 3 south 3 south2 5 c 5 d 6 e 7 f 7 g 7 h 7 i 8 j 9 centre2 11 north 13 k 14 l 14 m
        18
        > GEORADIUSBYMEMBER k centre 5000 mi ASC COUNT 5
        ["centre", "centre2", "north", "south", "south2"]
        > GEORADIUSBYMEMBER k centre 1 m ASC
        ["centre", "centre2", "south", "south2", "north", "b", "j", "e", "l", "m", "a", "k", "f", "g", "h", "i", "c", "d"]
        "#,
    );
}

#[test]
fn searches_find_what_lies_in_the_shape() {
    check(
        r#"
        > GEOADD k 13.361389 38.115556 a 15.087269 37.502669 b
        > GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km ASC
        ["b", "a"]
        > GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km DESC
        ["a", "b"]
        > GEOSEARCH k FROMLONLAT 15 37 BYBOX 400 400 km COUNT 1 DESC
        ["a"]
        > GEOSEARCH k FROMMEMBER a BYRADIUS 1 m
        ["a"]
        > GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1
        ["b"]
        > GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHCOORD WITHDIST WITHHASH COUNT 1
        [["b", "56.4413", 3479447370796909, ["15.087267458438873", "37.50266842333162"]]]
        > GEOSEARCH none FROMMEMBER a BYRADIUS 1 km
        []
        > GEORADIUS k 15 37 200 km WITHDIST ASC
        [["b", "56.4413"], ["a", "190.4424"]]
        ~
        > GEORADIUS_RO k 15 37 100 km
        ["b"]
        > GEORADIUSBYMEMBER k a 200 km WITHDIST DESC
        [["b", "166.2742"], ["a", "0.0000"]]
        > GEORADIUSBYMEMBER_RO k a 1 km WITHDIST
        [["a", "0.0000"]]
        > GEORADIUSBYMEMBER none a x y
        []
        # resp3
        > GEORADIUS k 15 37 100 km WITHCOORD
        [["b", [,15.087267458438873, ,37.50266842333162]]]
        "#,
    );
}

#[test]
fn results_are_stored() {
    check(
        r#"
        > GEOADD k 13.361389 38.115556 a 15.087269 37.502669 b
        > SET d v EX 10
        > GEOSEARCHSTORE d k FROMLONLAT 15 37 BYRADIUS 200 km
        2
        ~ GEOSEARCHSTORE d k FROMLONLAT 15 37 BYRADIUS 200 km
        ! geosearchstore d
        > TTL d
        -1
        > ZRANGE d 0 -1 WITHSCORES
        ["a", "3479099956230698", "b", "3479447370796909"]
        > GEOSEARCHSTORE d k FROMLONLAT 0 0 BYRADIUS 1 km
        0
        ~ GEOSEARCHSTORE d k FROMLONLAT 0 0 BYRADIUS 1 km
        ! del d
        > GEOSEARCHSTORE d none FROMMEMBER a BYRADIUS 1 km
        0
        ~
        > GEORADIUS k 15 37 200 km COUNT 1 STOREDIST d
        1
        ~ GEORADIUS k 15 37 200 km COUNT 1 STOREDIST d
        ! georadiusstore d
        > ZRANGE d 0 -1
        ["b"]
        > GEORADIUSBYMEMBER k a 1 km STORE d
        1
        > ZRANGE d 0 -1
        ["a"]
        > GEOSEARCHSTORE k k FROMMEMBER a BYRADIUS 1 km STOREDIST
        1
        > ZRANGE k 0 -1 WITHSCORES
        ["a", "0"]
        "#,
    );
}

#[test]
fn what_a_search_refuses() {
    check(
        r#"
        > GEOADD k 1 1 a
        > SET s v
        > GEOSEARCH s FROMLONLAT 0 0 BYRADIUS 1 km
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > GEORADIUS k 0 0 -1 km
        -ERR radius cannot be negative
        > GEORADIUS k 0 0 abc km
        -ERR need numeric radius
        > GEORADIUS k 0 0 1 FOO
        -ERR unsupported unit provided. please use M, KM, FT, MI
        > GEORADIUS k abc 0 1 km
        -ERR value is not a valid float
        > GEORADIUS k 200 0 1 km
        -ERR invalid longitude,latitude pair 200.000000,0.000000
        > GEORADIUS k 0 0 1 km COUNT 0
        -ERR COUNT must be > 0
        > GEORADIUS k 0 0 1 km COUNT abc
        -ERR value is not an integer or out of range
        > GEORADIUS k 0 0 1 km ANY
        -ERR the ANY argument requires COUNT argument
        > GEORADIUS k 0 0 1 km FOO
        -ERR syntax error
        > GEORADIUS k 0 0 1 km STORE d WITHCOORD
        -ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options
        > GEORADIUS_RO k 0 0 1 km STORE d
        -ERR syntax error
        > GEORADIUSBYMEMBER k nomember 1 km
        -ERR could not decode requested zset member
        > GEOSEARCH k BYRADIUS 1 km ASC
        -ERR wrong number of arguments for 'geosearch' command
        > GEOSEARCH k BYRADIUS 1 km ASC COUNT 1
        -ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH
        > GEOSEARCH k FROMLONLAT 0 0 ASC COUNT 1
        -ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH
        > GEOSEARCH k FROMLONLAT 0 0 FROMMEMBER a BYRADIUS 1 km
        -ERR syntax error
        > GEOSEARCH k FROMLONLAT 0 0 BYRADIUS 1 km BYBOX 1 1 km
        -ERR syntax error
        > GEOSEARCH k FROMMEMBER nomember BYRADIUS 1 km
        -ERR could not decode requested zset member
        > GEOSEARCH k FROMLONLAT 0 0 BYBOX -1 1 km
        -ERR height or width cannot be negative
        > GEOSEARCH k FROMLONLAT 0 0 BYBOX abc 1 km
        -ERR need numeric width
        > GEOSEARCH k FROMLONLAT 0 0 BYBOX 1 abc km
        -ERR need numeric height
        > GEOSEARCH k FROMLONLAT 0 0 BYRADIUS 1 km STOREDIST
        -ERR syntax error
        > GEOSEARCHSTORE d k FROMLONLAT 0 0 BYRADIUS 1 km WITHDIST
        -ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options
        > GEORADIUS k 0 0
        -ERR wrong number of arguments for 'georadius' command
        > GEORADIUSBYMEMBER_RO k a
        -ERR wrong number of arguments for 'georadiusbymember_ro' command
        "#,
    );
}
