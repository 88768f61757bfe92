//! stub
pub fn parse_i64(b: &[u8]) -> Option<i64> {
    std::str::from_utf8(b).ok()?.parse().ok()
}
pub fn parse_f64(b: &[u8]) -> Option<f64> {
    std::str::from_utf8(b).ok()?.parse().ok()
}
pub fn write_f64(o: &mut Vec<u8>, f: f64) {
    o.extend_from_slice(f.to_string().as_bytes())
}
