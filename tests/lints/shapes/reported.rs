#![allow(dead_code)]
use premier::Error;

//@
#[attribute]
#[expect(clippy::missing_errors_doc)]
pub fn undocumented_errors(n: u32) -> Result<u32, Error> {
    Ok(n)
}
//@ without premier::cache]
#[attribute]
#[expect(unused_variables)]
fn unused_argument(n: u32) -> Result<u32, Error> {
    Ok(1)
}
//@ without premier::cache]
#[attribute]
#[expect(unused_variables)]
async fn unused_argument_async(n: u32) -> Result<u32, Error> {
    std::future::ready(()).await;
    Ok(1)
}
//@
#[attribute]
#[expect(unused_variables, unused_mut)]
fn unused_mutable_argument(mut n: u32) -> Result<u32, Error> {
    Ok(1)
}
//@ without premier::cache]
#[attribute]
#[expect(unused_variables)]
fn unused_in_pattern((a, b): (u32, u32)) -> Result<u32, Error> {
    Ok(a)
}
//@
#[attribute]
#[expect(unused_variables)]
fn unused_variable(n: u32) -> Result<u32, Error> {
    let m = n;
    Ok(n)
}
//@
#[attribute]
#[expect(unused_mut)]
fn unused_mut_argument(mut n: u32) -> Result<u32, Error> {
    Ok(n)
}
//@
#[attribute]
#[expect(unused_mut)]
fn unused_mut_variable(n: u32) -> Result<u32, Error> {
    let mut m = n;
    Ok(m)
}
//@
#[attribute]
#[expect(unreachable_code)]
fn unreachable(n: u32) -> Result<u32, Error> {
    return Ok(n);
    Ok(1)
}
//@
#[attribute]
#[expect(unreachable_code)]
async fn unreachable_async(n: u32) -> Result<u32, Error> {
    std::future::ready(()).await;
    return Ok(n);
    Ok(1)
}
//@
#[attribute]
#[expect(unreachable_code)]
fn unreachable_after_a_panic(n: u32) -> Result<u32, Error> {
    panic!("{n}");
    Ok(1)
}
//@
#[attribute]
#[expect(unused_must_use)]
fn unused_result(n: u32) -> Result<u32, Error> {
    n.checked_add(1).ok_or(());
    Ok(n)
}
//@
#[attribute]
#[expect(unused_assignments)]
fn unused_assignment(n: u32) -> Result<u32, Error> {
    let mut m = 1;
    if n > 2 {
        return Ok(m);
    }
    m = 3;
    Ok(n)
}
//@
#[attribute]
#[expect(unused_parens)]
fn parentheses(n: u32) -> Result<u32, Error> {
    let n = (n + 1);
    Ok(n)
}
//@
#[attribute]
#[expect(unused_imports)]
fn import(n: u32) -> Result<u32, Error> {
    use std::ops::Add as _;
    Ok(n)
}
//@
#[attribute]
#[expect(clippy::needless_return)]
fn return_at_the_end(n: u32) -> Result<u32, Error> {
    return Ok(n);
}
//@
#[attribute]
#[expect(clippy::needless_return)]
async fn return_at_the_end_async(n: u32) -> Result<u32, Error> {
    std::future::ready(()).await;
    return Ok(n);
}
//@
#[attribute]
#[expect(clippy::let_and_return)]
fn variable_returned(n: u32) -> Result<u32, Error> {
    let m = Ok(n);
    m
}
//@ without retry timeout cache circuit_breaker
#[attribute]
#[expect(clippy::needless_pass_by_value)]
fn passed_by_value(list: Vec<u32>) -> Result<usize, Error> {
    Ok(list.len())
}
//@ without timeout premier::cache]
#[attribute]
#[expect(clippy::ptr_arg)]
fn pointer(list: &Vec<u32>) -> Result<usize, Error> {
    Ok(list.len())
}
//@ without timeout premier::cache]
#[attribute]
#[expect(clippy::trivially_copy_pass_by_ref)]
fn small_reference(n: &u32) -> Result<u32, Error> {
    Ok(*n)
}
//@ without timeout cache retry circuit_breaker
#[attribute]
#[expect(clippy::needless_pass_by_ref_mut)]
fn needless_exclusive(n: &mut [u32]) -> Result<usize, Error> {
    Ok(n.len())
}
//@
#[attribute]
#[expect(clippy::items_after_statements)]
fn item_after_a_statement(n: u32) -> Result<u32, Error> {
    println!("{n}");
    const K: u32 = 1;
    Ok(n + K)
}
//@
#[attribute]
#[expect(clippy::used_underscore_binding)]
fn underscore_used(_n: u32) -> Result<u32, Error> {
    Ok(_n + 1)
}
//@
#[attribute]
#[expect(clippy::no_effect_underscore_binding)]
fn no_effect(n: u32) -> Result<u32, Error> {
    let _m = n + 1;
    Ok(n)
}
//@
#[attribute]
#[expect(clippy::too_many_arguments)]
fn many(n1: u8, n2: u8, n3: u8, n4: u8, n5: u8, n6: u8, n7: u8, n8: u8) -> Result<u8, Error> {
    Ok(n1 + n2 + n3 + n4 + n5 + n6 + n7 + n8)
}
//@
#[attribute]
#[expect(clippy::many_single_char_names)]
fn short_names(a: u8, b: u8, c: u8, d: u8, e: u8) -> Result<u8, Error> {
    let f = a + b + c + d + e;
    Ok(f)
}
//@
#[attribute]
#[expect(unused_must_use)]
fn unused_result_first(n: u32) -> Result<u32, Error> {
    undocumented_errors(n);
    Ok(n)
}
//@
#[attribute]
#[expect(clippy::let_and_return)]
async fn variable_returned_async(n: u32) -> Result<u32, Error> {
    std::future::ready(()).await;
    let m = Ok(n);
    m
}
//@
#[attribute]
#[expect(clippy::items_after_statements)]
async fn item_after_a_statement_async(n: u32) -> Result<u32, Error> {
    std::future::ready(n).await;
    const K: u32 = 1;
    Ok(n + K)
}
//@
#[attribute]
#[expect(clippy::manual_async_fn)]
fn only_a_block(n: u32) -> impl Future<Output = Result<u32, Error>> {
    async move {
        std::future::ready(()).await;
        Ok(n)
    }
}
//@
#[attribute]
#[expect(clippy::cast_possible_truncation, clippy::redundant_else)]
fn pedantic(number: u64) -> Result<u32, Error> {
    let short = number as u32;
    if short == 0 {
        return Ok(3);
    } else {
        println!("{short}");
    }
    Ok(1)
}
//@
#[attribute]
#[expect(clippy::semicolon_if_nothing_returned)]
fn no_semicolon(n: u32) -> Result<(), Error> {
    if n > 3 {
        println!("{n}")
    }
    Ok(())
}
//@ without premier::cache]
struct Service(u32);
impl Service {
    #[attribute]
    #[expect(unused_variables)]
    async fn unused_argument(&self, n: u32) -> Result<u32, Error> {
        std::future::ready(()).await;
        Ok(self.0)
    }
}
