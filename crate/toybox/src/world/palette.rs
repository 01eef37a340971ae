//! The twelve colours.

/// A colour that captions can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Red,
    Orange,
    Yellow,
    Green,
    Cyan,
    Blue,
    Purple,
    Pink,
    White,
    Black,
    Brown,
    Grey,
}

use Colour::*;

/// Pairs that are hard to tell from each other at 64×64, so that one never stands on or beside the other.
const CLASHES: [(Colour, Colour); 13] = [
    (Red, Orange),
    (Red, Brown),
    (Red, Pink),
    (Orange, Yellow),
    (Orange, Brown),
    (Yellow, White),
    (Cyan, White),
    (Blue, Purple),
    (Purple, Brown),
    (Pink, White),
    (White, Grey),
    (Black, Brown),
    (Brown, Grey),
];

impl Colour {
    pub const ALL: [Self; 12] = [Red, Orange, Yellow, Green, Cyan, Blue, Purple, Pink, White, Black, Brown, Grey];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Red => "red",
            Orange => "orange",
            Yellow => "yellow",
            Green => "green",
            Cyan => "cyan",
            Blue => "blue",
            Purple => "purple",
            Pink => "pink",
            White => "white",
            Black => "black",
            Brown => "brown",
            Grey => "grey",
        }
    }

    /// sRGB.
    pub fn rgb(self) -> [u8; 3] {
        match self {
            Red => [222, 36, 44],
            Orange => [250, 140, 22],
            Yellow => [252, 220, 46],
            Green => [40, 160, 72],
            Cyan => [44, 206, 220],
            Blue => [40, 82, 214],
            Purple => [132, 52, 178],
            Pink => [250, 134, 190],
            White => [248, 248, 248],
            Black => [20, 20, 24],
            Brown => [122, 74, 40],
            Grey => [136, 139, 146],
        }
    }

    /// Whether the two are one colour or too near to each other to share a picture.
    pub fn clashes(self, other: Self) -> bool {
        self == other || CLASHES.contains(&(self, other)) || CLASHES.contains(&(other, self))
    }
}
