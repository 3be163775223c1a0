//! Compiles and runs the code of README, and of the pages of the manual that use a web framework: this
//! package has the frameworks among its dependencies, and the library has not.

macro_rules! pages {
    ($($name:ident: $file:literal,)*) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!($file)]
            struct $name;
        )*
    };
}

#[cfg(feature = "actix")]
pages! {
    Actix: "../../src/manual/actix.md",
}

pages! {
    Readme: "../../README.md",
    Axum: "../../src/manual/axum.md",
    Deploying: "../../src/manual/deploying.md",
    Program: "../../src/manual/deploying/program.md",
    Grpc: "../../src/manual/grpc.md",
    Logs: "../../src/manual/logs.md",
    Testing: "../../src/manual/testing.md",
    Troubleshooting: "../../src/manual/troubleshooting.md",
}
